// Bundles the program into dist/program: cron starts it every few minutes on every host, and to find and read the
// hundreds of files it is made of took several times as long as what it does. What only a server needs, and what is
// not JavaScript, stays outside. Wants what `tsc` compiled into dist/.
import { Ajv } from 'ajv'
import standaloneCode from 'ajv/dist/standalone/index.js'
import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const COMPILED = '\0compiled-schemas.cjs'
const source = path => new URL(`../${path}`, import.meta.url)
const built = path => new URL(`../dist/${path}`, import.meta.url)

// What a cycle loads, and little else.
const HOST =
  /\/common\/|\/client\/(cycle|commands|config|fail2ban|firewall|log|whitelist)\/|\/client\/(cli\/sync|bus|host|http|replace-file|server-link|sync|watch)\.ts|compiled-schemas|node_modules/

/** Puts ajv's own stand-alone code of every schema where the source has ajv compile it at its first use. */
function compiledSchemas() {
  return {
    name: 'compiled-schemas',
    enforce: 'pre',
    resolveId(id, importer) {
      if (id === COMPILED) return id
      return importer?.endsWith('/common/shapes.ts') && id === './compile-schema.js' ? COMPILED : undefined
    },
    async load(id) {
      if (id !== COMPILED) return undefined
      // Every module that makes a check names its schema when it is loaded; bin.ts is the program itself. By their
      // sources, for dist/ may hold what was compiled of one that is gone.
      for (const room of ['common', 'client', 'server']) {
        for (const name of await readdir(source(room), { recursive: true })) {
          if (!name.endsWith('.ts') || name === 'bin.ts') continue
          await import(built(`${room}/${name.replace(/ts$/, 'js')}`))
        }
      }
      const { checkedSchemas } = await import(built('common/shapes.js'))
      const { SCHEMA_OPTIONS } = await import(built('common/schema-options.js'))
      const texts = [...new Set(checkedSchemas.map(schema => JSON.stringify(schema)))]
      const schemas = texts.map((text, index) => ({ ...JSON.parse(text), $id: `schema${index}` }))
      const ajv = new Ajv({ ...SCHEMA_OPTIONS, code: { source: true }, schemas })
      const names = Object.fromEntries(schemas.map(({ $id }) => [$id, $id]))
      return `${standaloneCode(ajv, names)}
        const byText = new Map(${JSON.stringify(texts)}.map((text, index) => [text, exports['schema' + index]]))
        exports.compileSchema = schema => {
          const compiled = byText.get(JSON.stringify(schema))
          if (compiled === undefined) throw new Error('a schema that was not there at the build')
          return compiled
        }`
    }
  }
}

export default defineConfig({
  publicDir: false,
  plugins: [compiledSchemas()],
  // What a CommonJS package is given by Node.js (write-file-atomic asks for it).
  define: { __filename: 'import.meta.filename' },
  ssr: {
    target: 'node',
    noExternal: true,
    external: [
      '@fastify/basic-auth',
      '@fastify/cookie',
      '@fastify/formbody',
      '@fastify/multipart',
      '@fastify/static',
      '@fastify/type-provider-typebox',
      '@fastify/websocket',
      '@node-rs/bcrypt',
      'chokidar',
      'fastify',
      'helmet',
      'mmdb-lib',
      'pino',
      'prom-client',
      'ws'
    ]
  },
  build: {
    ssr: 'bin.ts',
    outDir: fileURLToPath(built('program')),
    emptyOutDir: true,
    target: 'node20.19',
    minify: true,
    // The licences of what is in the bundle go with it.
    license: { fileName: 'LICENSES.md' },
    rolldownOptions: {
      output: {
        entryFileNames: 'bin.js',
        chunkFileNames: '[name]-[hash].js',
        // Each file that has to be found costs a cycle a millisecond or two.
        codeSplitting: {
          groups: [
            { name: 'undici', test: /node_modules\/undici\// },
            { name: 'host', test: HOST }
          ]
        }
      }
    }
  }
})
