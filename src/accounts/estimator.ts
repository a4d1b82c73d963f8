/** The estimator of guesses with its dictionaries; imported late, for they are large (password-strength.ts). */

import { ZxcvbnFactory } from '@zxcvbn-ts/core';
import { adjacencyGraphs, dictionary as common } from '@zxcvbn-ts/language-common';
import { dictionary as indonesian } from '@zxcvbn-ts/language-id';

/** Guesses by words, names, dates and keys, common and Indonesian. */
export const estimator = new ZxcvbnFactory({ dictionary: { ...common, ...indonesian }, graphs: adjacencyGraphs });
