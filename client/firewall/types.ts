import type { Address } from '../../common/address.js'
import type { Blocks } from './blocks.js'

/** What a backend found in the firewall. */
export interface InForce {
  /** Blocks that this product made there. Single addresses and networks, as the firewall holds them. */
  own: Blocks
  /**
   * Blocks of the same meaning made by other hands (ufw: plain `deny from X` rules, as the old bash client
   * made them). They count as in force, and are removed only when a blocklist asks for their end.
   */
  alike: ReadonlySet<Address>
  /**
   * Blocks of the same meaning by other hands that let some packets in all the same (ufw: they stand behind a rule
   * that accepts, where the old client put them). Not in force; they too go when a blocklist asks for their end.
   */
  behind?: ReadonlySet<Address>
}

/** A place where blocks are put in force. One file per backend; each touches nothing but its own entries. */
export interface Firewall {
  readonly name: 'nftables' | 'ufw' | 'ipset' | 'dry-run'

  /**
   * Reads what is in force. Entries that are stored but stop no packet (a drop rule is gone, ufw is off) are not
   * in force and not listed: the caller then adds them anew, and `apply` mends what is broken.
   * @param many whether thousands of blocks are expected: there may be a way that is quicker for many, and slower for few
   * @throws ProductError FIREWALL or COMMAND
   */
  list(many?: boolean): Promise<InForce>

  /**
   * Puts all of `add` in force and ends all of `remove` as one batch: all or, on an error, nothing. `add` never
   * holds an address that another member of `add` or a remaining block covers. Also mends the frame the blocks
   * live in (table, chains, sets, jump rules) when it is missing or altered, even with nothing to add or remove.
   * Blocks found stored behind a broken frame come back in force with it, so that mending never opens a gap.
   * @returns what is in force now, read back from the firewall after the change; of what the change didn't touch,
   *   what was last listed. Undefined when nothing was written: what was listed before still stands
   * @throws ProductError FIREWALL or COMMAND, saying what the tool said
   */
  apply(add: readonly Address[], remove: readonly Address[]): Promise<InForce | undefined>

  /**
   * Why this backend has no means to hold a block, or undefined when it has; as of the last `list`. The caller
   * leaves such blocks out of `apply`, which refuses the batch otherwise.
   */
  cannot?(block: Address): string | undefined

  /** Takes every trace of this product out of the firewall. */
  clear(): Promise<void>
}
