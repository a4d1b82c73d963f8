/** The demonstration's companies and BPOM's directorates, and which company has users in which directorate; invented. */

import type { Database } from '../database.ts';
import { addMembership, saveDirectorate } from '../organisations/directorate.ts';
import { saveOrganisation } from '../organisations/organisation.ts';

export const organisations = {
  pangan: {
    name: 'PT Contoh Pangan Nusantara',
    npwp: '00.000.101.6-000.000',
    nitku: '0000001016000000000000',
    nib: '0000000000101',
    edi_number: 'EDI-CPN-0101',
    srp: '001010',
    address: 'Jalan Contoh Raya Nomor 1, Kelurahan Pintu Air',
    city: 'Jakarta Pusat',
    postal_code: '10110',
    phone_number: '(021) 5000-101',
    fax_number: '(021) 5000-191',
    department: 'Impor Pangan Olahan dan Obat Tradisional',
  },
  kosmetika: {
    name: 'PT Contoh Kosmetika Jaya',
    npwp: '00.000.102.4-000.000',
    nitku: '0000001024000000000000',
    nib: '0000000000102',
    edi_number: 'EDI-CKJ-0102',
    srp: '001020',
    address: 'Jalan Teladan Nomor 22',
    city: 'Surabaya',
    postal_code: '60111',
    phone_number: '(031) 5000-102',
    department: 'Impor Kosmetika',
  },
  farma: {
    name: 'PT Contoh Farma Sejahtera',
    npwp: '00.000.103.2-000.000',
    nib: '0000000000103',
    address: 'Jalan Sampel Nomor 3',
    city: 'Bandung',
  },
} as const;

// The names of document D's time, its own value first (domain 3.2).
const directorates: [code: string, name: string, name_en: string][] = [
  ['PANGAN', 'Inspeksi dan Sertifikasi Produk Pangan', 'Inspection and Certification of Food'],
  [
    'OT',
    'Inspeksi dan Sertifikasi Obat Tradisional, Kosmetik, dan Produk Komplemen',
    'Inspection and Certification of Traditional Medicines, Cosmetics and Complementary Products',
  ],
  [
    'TERAPETIK',
    'Pengawasan Distribusi Produk Terapetik dan PKRT',
    'Control of the Distribution of Therapeutic and Household Health Products',
  ],
  [
    'NAPZA',
    'Pengawasan Narkotika, Psikotropika, dan Zat Adiktif',
    'Control of Narcotics, Psychotropics and Addictive Substances',
  ],
  ['BERBAHAYA', 'Pengawasan Produk dan Bahan Berbahaya', 'Control of Dangerous Products and Substances'],
];

const memberships: [organisation: keyof typeof organisations, directorate: string][] = [
  ['pangan', 'PANGAN'],
  ['pangan', 'OT'],
  ['kosmetika', 'OT'],
];

/** Writes what is missing; the answer gives each company's id by its key. */
export async function seedCompanies(db: Database): Promise<Map<string, string>> {
  const organisation_ids = new Map<string, string>();
  for (const [key, organisation] of Object.entries(organisations))
    organisation_ids.set(key, (await saveOrganisation(db, organisation)).id);
  const directorate_ids = new Map<string, string>();
  for (const [code, name, name_en] of directorates)
    directorate_ids.set(code, (await saveDirectorate(db, { agency_code: 'BPOM', code, name, name_en })).id);
  for (const [organisation, directorate] of memberships) {
    await addMembership(db, organisation_ids.get(organisation) as string, directorate_ids.get(directorate) as string);
  }
  return organisation_ids;
}
