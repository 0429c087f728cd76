import type { SyncBackMode } from './store/blocklists.js'
import type { Folders } from './store/folders.js'

/** Everything the server can be told; read once at start. */
export interface ServerConfig {
  host: string
  port: number
  /** `/` or `/Some/Path`, without a final slash. */
  basePath: string
  folders: Folders
  /** Proxies whose X-Forwarded-* headers count: addresses and networks; none by default. */
  trustProxy: string[]
  syncback: SyncBackMode
  /** Widest networks that may be blocked, prefix lengths. */
  widest: { 4: number; 6: number }
  /** Bytes of one uploaded file. */
  uploadBytes: number
  logLevel: string
  /** Where log lines go; standard output when empty. */
  logFile: string
}
