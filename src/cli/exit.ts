// Exit codes of the command, as documented in its help: scripts decide by them.

export const exitCodes = {
  ok: 0,
  checkFailed: 1,
  usage: 2,
  unavailable: 69,
  configuration: 78,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends the command with this message and code; anything else that is thrown is a fault of ours. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly exitCode: ExitCode,
  ) {
    super(message);
  }
}
