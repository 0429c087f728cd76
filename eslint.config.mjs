// Strict type-checked lint, and the rooms of the architecture as import rules: arrows run one way.
import js from '@eslint/js'
import tseslint from 'typescript-eslint'

const room = (files, forbidden, reason) => ({
  files,
  rules: {
    'no-restricted-imports': ['error', { patterns: forbidden.map(regex => ({ regex, message: reason })) }]
  }
})

const noShell = [
  {
    selector:
      "CallExpression[callee.name=/^exec(Sync)?$/], CallExpression[callee.property.name='execSync'], Property[key.name='shell']",
    message: 'commands are run with an argument array, never a shell string'
  }
]

export default tseslint.config(
  { ignores: ['dist/', 'node_modules/', '.tap/', '.tsimp/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: {
        project: ['./tsconfig.json', './tests/tsconfig.json', './public/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname
      }
    },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      'no-restricted-syntax': ['error', ...noShell]
    }
  },
  {
    files: ['tests/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/require-await': 'off',
      'no-restricted-syntax': [
        'error',
        ...noShell,
        {
          selector: "CallExpression[callee.property.name='testdir']",
          message: 'ownFolder (tests/support/own-folder.ts) is deleted after what the test tears down'
        }
      ]
    }
  },
  { files: ['tests/support/own-folder.ts'], rules: { 'no-restricted-syntax': ['error', ...noShell] } },
  { files: ['**/*.mjs'], languageOptions: { globals: { URL: 'readonly', process: 'readonly' } } },
  room(['common/**/*.ts'], ['/(server|client|tests)/'], 'common imports nothing of ours'),
  room(['server/**/*.ts'], ['/client/'], 'server and client never import each other'),
  room(['server/store/**/*.ts'], ['/client/', '/(endpoint|api|live)/'], 'the store imports only common'),
  room(['server/endpoint/**/*.ts'], ['/client/', '/(api|live)/'], 'endpoints import the store and common'),
  room(['server/api/**/*.ts'], ['/client/', '/endpoint/'], 'the API imports store, live and common'),
  room(
    ['server/live/**/*.ts'],
    ['/client/', '/(endpoint|api)/', '^\\.\\./[^/]+$'],
    'live imports the store and common'
  ),
  room(['public/**/*.{ts,tsx}'], ['/(server|client|tests)/'], 'the page knows the server by its API only'),
  room(['client/**/*.ts'], ['/server/'], 'server and client never import each other'),
  room(['client/{log,firewall}/**/*.ts'], ['/server/', '/cycle/'], 'log and firewall import only common'),
  // The one bin is the composition root of both sides.
  { files: ['client/bin.ts'], rules: { 'no-restricted-imports': 'off' } }
)
