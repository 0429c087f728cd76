// Builds the dashboard into dist/public, which the server serves below any base path.
import { defineConfig } from 'vite'

export default defineConfig({
  base: './',
  publicDir: false,
  build: {
    outDir: '../dist/public',
    emptyOutDir: true,
    target: 'es2022',
    // The page's CSP takes nothing but files of its own: no data: URL.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true
  }
})
