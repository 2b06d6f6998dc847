// The list of domains. Add a word here and the compiler asks for its lines in the index files.
export const domains = ['accounts', 'coupons', 'games', 'payments', 'webhooks'] as const;
export type Domain = (typeof domains)[number];
