/**
 * Where random tests start. One fixed place, so that a run says something about the change and not about luck;
 * `QIMG_TEST_SEED=random` looks elsewhere, a number repeats a run.
 */
import { configureGlobal } from 'fast-check';

const wanted = process.env['QIMG_TEST_SEED'] ?? '20';

/** The seed of this run. */
export const SEED: number = wanted === 'random' ? Date.now() % 2147483648 : Number(wanted);

configureGlobal({ seed: SEED });
