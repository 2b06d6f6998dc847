// What bounds what is held in memory by key. A Map or a Set keeps the order in which keys came, so
// the first is the oldest; who takes a key out and puts it in again has it at the end.
interface Held<K> {
  readonly size: number;
  keys(): IterableIterator<K>;
  delete(key: K): boolean;
}

/** Call after each addition: forgets the oldest where there are more than `most`. */
export function forgetBeyond<K>(most: number, held: Held<K>): void {
  if (held.size <= most) return;
  const [oldest] = held.keys();
  held.delete(oldest!);
}
