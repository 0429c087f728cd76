// Run by npm around `npm pack` (prepack, postpack). The tarball brings its packages along: npm heeds neither our lock
// file nor our overrides when it installs a tarball. In package.json for good, `npm ci` would not come to its end.
import { readFileSync, writeFileSync } from 'node:fs'

const path = new URL('../../../package.json', import.meta.url)
const manifest = JSON.parse(readFileSync(path, 'utf8'))
if (process.argv[2] === 'on') manifest.bundleDependencies = true
else delete manifest.bundleDependencies
writeFileSync(path, `${JSON.stringify(manifest, null, 2)}\n`)
