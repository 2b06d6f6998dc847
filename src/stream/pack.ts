// Values as msgpack, written one after the other into one buffer that grows: no array to hold
// them, no copy of each event, and an event that turns out to be unwanted is taken back.
// Invariant: the bytes are those that msgpackr would write; stored bodies are compared by them.
import { Packr } from 'msgpackr';

// No records: they tie the bytes to one process's state. Integers beyond 32 bits stay exact.
export const packr = new Packr({ useRecords: false, moreTypes: false, int64AsType: 'number' });

const BYTES_AT_FIRST = 4_096;
/** Longer text is msgpackr's, whose calls into native code then pay. */
const OWN_TEXT_MAX = 128;

export class PackWriter {
  length = 0;
  private bytes = Buffer.allocUnsafeSlow(BYTES_AT_FIRST);
  private view = viewOf(this.bytes);

  get capacity(): number {
    return this.bytes.byteLength;
  }

  /** The bytes from `start` on: good until the next is written. */
  from(start: number): Buffer {
    return this.bytes.subarray(start, this.length);
  }

  /** Takes back what was written after `length`. */
  rewind(length: number): void {
    this.length = length;
  }

  array(count: number): void {
    const bytes = this.room(5);
    if (count < 0x10) {
      bytes[this.length++] = 0x90 | count;
    } else if (count < 0x1_0000) {
      bytes[this.length++] = 0xdc;
      this.view.setUint16(this.length, count);
      this.length += 2;
    } else {
      bytes[this.length++] = 0xdd;
      this.view.setUint32(this.length, count);
      this.length += 4;
    }
  }

  value(value: unknown): void {
    if (typeof value === 'string') this.text(value);
    else if (typeof value === 'number') this.number(value);
    else if (value === null || value === undefined) this.room(1)[this.length++] = 0xc0;
    else if (typeof value === 'boolean') this.room(1)[this.length++] = value ? 0xc3 : 0xc2;
    else this.append(packr.pack(value));
  }

  private number(value: number): void {
    const bytes = this.room(9);
    if (value >>> 0 === value) this.unsigned(bytes, value);
    else if (value >> 0 === value) this.append(packr.pack(value));
    else {
      bytes[this.length++] = 0xcb;
      this.view.setFloat64(this.length, value);
      this.length += 8;
    }
  }

  private unsigned(bytes: Buffer, value: number): void {
    if (value < 0x80) {
      bytes[this.length++] = value;
    } else if (value < 0x100) {
      bytes[this.length++] = 0xcc;
      bytes[this.length++] = value;
    } else if (value < 0x1_0000) {
      bytes[this.length++] = 0xcd;
      this.view.setUint16(this.length, value);
      this.length += 2;
    } else {
      bytes[this.length++] = 0xce;
      this.view.setUint32(this.length, value);
      this.length += 4;
    }
  }

  private text(text: string): void {
    const count = text.length;
    if (count > OWN_TEXT_MAX) return this.append(packr.pack(text));
    const start = this.length;
    const bytes = this.room(count + 2);
    let at = start;
    if (count < 0x20) {
      bytes[at++] = 0xa0 | count;
    } else {
      bytes[at++] = 0xd9;
      bytes[at++] = count;
    }
    for (let index = 0; index < count; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return this.append(packr.pack(text));
      bytes[at++] = code;
    }
    this.length = at;
  }

  /** Bytes that are msgpack already. */
  private append(packed: Uint8Array): void {
    this.room(packed.byteLength).set(packed, this.length);
    this.length += packed.byteLength;
  }

  /** The buffer, with at least so many bytes free. */
  private room(count: number): Buffer {
    const wanted = this.length + count;
    if (wanted > this.bytes.byteLength) {
      const larger = Buffer.allocUnsafeSlow(Math.max(wanted, this.bytes.byteLength * 2));
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
      this.view = viewOf(larger);
    }
    return this.bytes;
  }
}

function viewOf({ buffer, byteOffset, byteLength }: Buffer): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
