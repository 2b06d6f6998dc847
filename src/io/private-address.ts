// Which addresses a caller from outside may have us connect to: public unicast ones, and networks
// that the operator has named.
// Invariant: what is not known to be public is refused, in whatever notation it comes.
import ipaddr from 'ipaddr.js';

export type Network = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** `10.1.0.0/16,fd00::/8`; null where one of them is no network. */
export function networksOf(text: string): Network[] | null {
  const parts = text.split(',').map((part) => part.trim());
  if (!parts.every((part) => ipaddr.isValidCIDR(part))) return null;
  return parts.map((part) => ipaddr.parseCIDR(part));
}

export type AddressKind = 'public' | 'named' | 'refused';

/** Of an address as a resolver gives it, or as it stands in a URL. */
export function addressKind(text: string, named: readonly Network[]): AddressKind {
  if (!ipaddr.isValid(text)) return 'refused';
  // An IPv4 address in the clothes of IPv6 is judged as what it is.
  const address = ipaddr.process(text);
  if (named.some(([network, bits]) => isWithin(address, network, bits))) return 'named';
  return address.range() === 'unicast' && isAssigned(address) ? 'public' : 'refused';
}

function isWithin(address: Network[0], network: Network[0], bits: number): boolean {
  return address.kind() === network.kind() && address.match([network, bits] as never);
}

/** Of IPv6, 2000::/3 is all that is given out (RFC 4291, 2.4); it leaves out ::127.0.0.1 too. */
function isAssigned(address: Network[0]): boolean {
  return address instanceof ipaddr.IPv4 || address.match(ipaddr.IPv6.parse('2000::'), 3);
}
