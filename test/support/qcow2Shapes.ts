/** Random geometries of qcow2 images. */
import * as fc from 'fast-check';
import type { Shape } from './qcow2Model.ts';

const small = fc.integer({ min: 1, max: 800 }).map((sectors) => sectors * 512);
const backing = fc.array(fc.record({ format: fc.constantFrom('raw' as const, 'qcow2' as const), size: small }), {
  maxLength: 2,
});
const common = { size: small, backing, lazy: fc.boolean() };

/** Random geometries; those with large clusters, and those with encryption, are few, because they take long. */
export const SHAPES: fc.Arbitrary<Shape> = fc
  .oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        ...common,
        clusterSize: fc.constantFrom(512, 512, 1024, 2048, 4096, 16384, 65536),
        refcountBits: fc.constantFrom(1, 2, 4, 8, 16, 16, 32, 64),
        extended: fc.constant(false),
        version: fc.constant(3 as const),
        data: fc.constantFrom('none' as const, 'none' as const, 'none' as const, 'plain' as const, 'raw' as const),
        crypt: fc.constant('none' as const),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        ...common,
        clusterSize: fc.constantFrom(16384, 16384, 32768, 65536),
        refcountBits: fc.constantFrom(1, 8, 16, 64),
        extended: fc.constant(true),
        version: fc.constant(3 as const),
        data: fc.constantFrom('none' as const, 'none' as const, 'plain' as const),
        crypt: fc.constant('none' as const),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        ...common,
        clusterSize: fc.constantFrom(512, 512, 1024, 4096, 65536),
        refcountBits: fc.constant(16),
        extended: fc.constant(false),
        version: fc.constant(2 as const),
        data: fc.constant('none' as const),
        crypt: fc.constant('none' as const),
        lazy: fc.constant(false),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        ...common,
        clusterSize: fc.constantFrom(512, 4096, 65536),
        refcountBits: fc.constantFrom(8, 16),
        extended: fc.constant(false),
        version: fc.constant(3 as const),
        data: fc.constant('none' as const),
        crypt: fc.constantFrom('aes' as const, 'aes' as const, 'luks' as const),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        ...common,
        clusterSize: fc.constantFrom(262144, 1048576, 2097152),
        refcountBits: fc.constantFrom(1, 16, 64),
        extended: fc.boolean(),
        version: fc.constant(3 as const),
        data: fc.constantFrom('none' as const, 'none' as const, 'plain' as const),
        crypt: fc.constant('none' as const),
      }),
    },
  )
  // A data file that is the raw view of an image cannot have a backing image below.
  .map((shape) => (shape.data === 'raw' ? { ...shape, backing: [] } : shape));
