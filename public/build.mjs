// Copies the dashboard's static parts beside its compiled script: dist/public is what the server serves.
import { cpSync, mkdirSync } from 'node:fs'

const source = new URL('./', import.meta.url)
const target = new URL('../dist/public/', import.meta.url)
mkdirSync(target, { recursive: true })
for (const name of ['index.html', 'style.css', 'icon.svg'])
  cpSync(new URL(name, source), new URL(name, target))
