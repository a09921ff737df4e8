import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  exactSize,
  geometryOf,
  MAX_GEOMETRY_SECTORS,
  roundToGeometry,
  sectorsOf,
} from '../../../../src/formats/vpc/geometry.ts';

describe('the geometry of VHD images', () => {
  it.each([
    [1, 34816],
    [5242880, 5257216],
    [10485760, 10514432],
    [104857600, 104865792],
    [1073741824, 1073995776],
    [68718428160, 68718428160],
    [136365211648, 136365219840],
    [136899993600, 136899993600],
    [136899993601, 136899994112],
    [0, 0],
  ])('of %i bytes gives %i', (wanted, size) => {
    expect(roundToGeometry(wanted).size).toBe(size);
  });

  it('is the one of Virtual PC', () => {
    const shapes = [1, 10485760, 136899993600, 0].map((size) =>
      Object.values(roundToGeometry(size).geometry).join('/'),
    );
    expect(shapes).toEqual(['1/4/17', '302/4/17', '65535/16/255', '0/0/0']);
  });

  it('rounds up as little as possible', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_GEOMETRY_SECTORS }), (sectors) => {
        const { size, geometry } = roundToGeometry(sectors * 512);
        expect(size).toBe(sectorsOf(geometry) * 512);
        expect(size).toBeGreaterThanOrEqual(sectors * 512);
        expect(geometry.heads).toBeLessThanOrEqual(16);
        expect(geometry.cylinders).toBeLessThanOrEqual(65535);
        // One sector less would not have been enough.
        expect(size === sectors * 512 || sectorsOf(geometryOf(size / 512 - 1)) < sectors).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('can be left out', () => {
    expect(exactSize(1000)).toEqual({ size: 1024, geometry: { cylinders: 65535, heads: 16, sectors: 255 } });
  });
});
