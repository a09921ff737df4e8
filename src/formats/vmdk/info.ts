/** What `info` shows about an image. */
import type { FormatInfo, InfoValue } from '../../block/driver.ts';
import type { Extent } from './extent.ts';

function describe(extent: Extent): { readonly [key: string]: InfoValue } {
  return {
    ...(extent.compressed ? { compressed: true } : {}),
    'virtual-size': extent.bytes,
    ...(extent.storage ? { filename: extent.storage.name } : {}),
    ...(extent.grainBytes > 0 ? { 'cluster-size': extent.grainBytes } : {}),
    format: extent.type,
  };
}

/** What there is to tell of. */
interface Described {
  readonly extents: readonly Extent[];
  readonly contentId: number;
  readonly parentContentId: number;
  readonly createType: string;
}

/** Content ids, kind of image, and all extents. Extents that differ leave no common properties to show. */
export function infoOf(image: Described): FormatInfo {
  const [first] = image.extents;
  const alike = image.extents.every(
    ({ grainBytes, compressed }) => grainBytes === first?.grainBytes && compressed === first.compressed,
  );
  return {
    ...(alike && first && first.grainBytes > 0 ? { clusterSize: first.grainBytes } : {}),
    ...(alike ? { dirty: false } : {}),
    specific: {
      type: 'vmdk',
      data: {
        cid: image.contentId,
        'parent-cid': image.parentContentId,
        'create-type': image.createType,
        extents: image.extents.map(describe),
      },
    },
  };
}
