/** Something that must not be. */
export class Violation extends Error {}
