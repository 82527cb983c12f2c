/** The fleet cannot be started as it is asked for; trying again does not help. */
export class CannotStart extends Error {
  override readonly name = "CannotStart";
}
