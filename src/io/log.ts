// Structured logs: one JSON object a line on stdout, ISO time, secrets redacted. No pino transport:
// its worker thread breaks in compiled binaries and adds nothing that a pipe does not.
import pino, { type Logger } from 'pino';

export type Log = Logger;

const redacted = [
  'authorization',
  'headers.authorization',
  'req.headers.authorization',
  '*.authorization',
  'key',
  '*.key',
  'secret',
  '*.secret',
  'token',
  '*.token',
  'password',
  '*.password',
];

export function createLog(process: string, level: string): Log {
  return pino({
    level,
    base: { process, pid: globalThis.process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    redact: { paths: redacted, censor: '[redacted]' },
  });
}
