/** Wishes that wait for one write, and what came of each. */
interface Group<Wish, Outcome> {
  wishes: Wish[]
  /** What the wishes are about. */
  subjects: Set<string>
  outcomes: Promise<Outcome[]>
}

/**
 * Makes one write of all wishes for a file that come while its lock is waited for. Whoever comes once the file has been
 * read belongs to the next write.
 */
export class GroupCommit<Wish, Outcome> {
  readonly #waiting = new Map<string, Group<Wish, Outcome>>()

  /**
   * @param most subjects of one write
   * @param subjectsOf what a wish is about: no two wishes about one subject are part of one write
   */
  constructor(
    private readonly most: number,
    private readonly subjectsOf: (wish: Wish) => readonly string[]
  ) {}

  /**
   * @param key what is written; wishes of different keys never meet
   * @param commit writes once: it calls `take` when it has the lock, for all wishes that wait by then, and gives one
   *   outcome for each
   * @throws what `commit` throws; all wishes of the write fail together
   */
  async add(
    key: string,
    wish: Wish,
    commit: (take: () => readonly Wish[]) => Promise<Outcome[]>
  ): Promise<Outcome> {
    const subjects = this.subjectsOf(wish)
    let group = this.#waiting.get(key)
    const joins =
      group !== undefined &&
      group.subjects.size + subjects.length <= this.most &&
      !subjects.some(subject => group?.subjects.has(subject))
    if (group !== undefined && joins) {
      for (const subject of subjects) group.subjects.add(subject)
      group.wishes.push(wish)
    } else group = this.#begin(key, wish, subjects, commit)
    const at = group.wishes.length - 1
    return (await group.outcomes)[at] as Outcome
  }

  #begin(
    key: string,
    wish: Wish,
    subjects: readonly string[],
    commit: (take: () => readonly Wish[]) => Promise<Outcome[]>
  ): Group<Wish, Outcome> {
    const wishes = [wish]
    const closed = { yet: false }
    const close = () => {
      closed.yet = true
      if (this.#waiting.get(key)?.wishes === wishes) this.#waiting.delete(key)
      return wishes
    }
    // A failure comes before the file is read as well.
    const outcomes = commit(close).finally(close)
    const group = { wishes, subjects: new Set(subjects), outcomes }
    if (!closed.yet) this.#waiting.set(key, group)
    return group
  }
}
