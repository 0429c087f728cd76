import { render } from 'preact'
import { App } from './app.js'
import { startLive } from './state/live.js'
import { followLinks } from './state/route.js'
import { askSession } from './state/session.js'

document.addEventListener('click', followLinks)
startLive()
void askSession()
const place = document.getElementById('app')
if (place !== null) render(<App />, place)
