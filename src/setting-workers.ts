// Which streams a worker takes.
import { type Topic, topics } from '../schemas/events.ts';
import { type Setting, Wrong } from './setting.ts';

export const workerTopics: Setting<readonly Topic[]> = {
  name: 'WORKER_TOPICS',
  about: 'what a worker takes, so that some may have workers of their own; together they need all',
  standard: topics.join(','),
  parse(text) {
    const named = text.split(',').map((word) => word.trim());
    const known = topics.filter((topic) => named.includes(topic));
    if (known.length === named.length) return known;
    throw new Wrong(`must be some of ${topics.join(',')}, each once`);
  },
};
