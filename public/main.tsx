import { render } from 'preact'
import { App } from './app.js'
import { startPolling } from './state/resource.js'
import { followLinks } from './state/route.js'
import { askSession } from './state/session.js'

document.addEventListener('click', followLinks)
startPolling()
void askSession()
const place = document.getElementById('app')
if (place !== null) render(<App />, place)
