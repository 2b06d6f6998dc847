// Who a process number belongs to. Numbers are used again, so a number alone identifies nothing:
// a process is its number and the moment it started.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const hasProc = existsSync('/proc/self/stat');

/** When the process started, as text to compare; null when there is no such process. */
export function startOf(pid: number): string | null {
  if (!Number.isInteger(pid) || pid <= 1) return null;
  if (!hasProc) return ps(pid, 'lstart') || null;
  try {
    // Fields are counted after the command's name, which may itself hold spaces and brackets.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ');
    return fields[0] === 'Z' ? null : fields[19]!;
  } catch {
    return null;
  }
}

/** The command line; empty when there is no such process. */
export function commandOf(pid: number): string {
  if (!Number.isInteger(pid) || pid <= 1) return '';
  if (!hasProc) return ps(pid, 'command');
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

function ps(pid: number, field: string): string {
  return (
    spawnSync('ps', ['-o', `${field}=`, '-p', String(pid)])
      .stdout?.toString()
      .trim() ?? ''
  );
}
