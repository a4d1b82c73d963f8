/** The demonstration's people, companies, directorates and clients; invented, and written through the same code as real ones. */

import { createAccount } from '../accounts/account.ts';
import { canonicalise } from '../accounts/identifiers.ts';
import { addClientSecret, type ClientRegistration, type ClientStore, saveClient } from '../clients.ts';
import { now } from '../clock.ts';
import type { Database } from '../database.ts';
import { addMembership, addPerson, saveDirectorate, saveOrganisation } from '../organisations.ts';
import { grantRole, type Role } from '../permissions.ts';

/** Everybody's password at Gapura, at e-BPOM and at CargoLink. */
export const demo_password = 'Pintu-Terbuka-2026!';
export const e_bpom_password = 'Ebpom-Demo-2026!';
export const cargolink_password = 'Cargo-Demo-2026!';

interface DemoPerson {
  username: string;
  full_name: string;
  /** In the demonstration's population registry; province 99 does not exist. */
  nik: string;
  mother_name: string;
  email: string;
  mobile_number: string;
  role: Role;
  agency_code?: string;
  organisation?: keyof typeof organisations;
  position?: string;
  address?: string;
  city?: string;
  postal_code?: string;
  phone_number?: string;
  fax_number?: string;
  expires_in_months?: number;
}

const organisations = {
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

export const people: DemoPerson[] = [
  {
    username: 'budi',
    full_name: 'Budi Contoh Santoso',
    nik: '9901010501900001',
    mother_name: 'Ibu Contoh Satu',
    email: 'budi@contoh.example',
    mobile_number: '+6281200000101',
    role: 'trader',
    organisation: 'pangan',
    position: 'Penanggung jawab',
    address: 'Jalan Melati Contoh Nomor 5',
    city: 'Jakarta Selatan',
    postal_code: '12110',
    phone_number: '(021) 5000-111',
    fax_number: '(021) 5000-112',
    expires_in_months: 10,
  },
  {
    username: 'sari',
    full_name: 'Sari Contoh Wulandari',
    nik: '9901014501900002',
    mother_name: 'Ibu Contoh Dua',
    email: 'sari@contoh.example',
    mobile_number: '+6281200000102',
    role: 'company_administrator',
    organisation: 'pangan',
    position: 'Administrator perusahaan',
    city: 'Jakarta Pusat',
  },
  {
    username: 'tono',
    full_name: 'Tono Contoh Prasetyo',
    nik: '9902020203910003',
    mother_name: 'Ibu Contoh Tiga',
    email: 'tono@contoh.example',
    mobile_number: '+6281200000103',
    role: 'trader',
    organisation: 'kosmetika',
    position: 'Penanggung jawab',
    city: 'Surabaya',
  },
  {
    username: 'petugas',
    full_name: 'Petugas Contoh Lestari',
    nik: '9903034404880004',
    mother_name: 'Ibu Contoh Empat',
    email: 'petugas@contoh.example',
    mobile_number: '+6281200000104',
    role: 'agency_officer',
    agency_code: 'BPOM',
  },
  {
    username: 'layanan',
    full_name: 'Layanan Contoh Hidayat',
    nik: '9904040505870005',
    mother_name: 'Ibu Contoh Lima',
    email: 'layanan@contoh.example',
    mobile_number: '+6281200000105',
    role: 'service_desk',
  },
  {
    username: 'admin',
    full_name: 'Admin Contoh Nugroho',
    nik: '9905050606860006',
    mother_name: 'Ibu Contoh Enam',
    email: 'admin@contoh.example',
    mobile_number: '+6281200000106',
    role: 'administrator',
  },
];

// The names of document D's time, its own value first (domain 3.2).
const directorates: [code: string, name: string][] = [
  ['PANGAN', 'Inspeksi dan Sertifikasi Produk Pangan'],
  ['OT', 'Inspeksi dan Sertifikasi Obat Tradisional, Kosmetik, dan Produk Komplemen'],
  ['TERAPETIK', 'Pengawasan Distribusi Produk Terapetik dan PKRT'],
  ['NAPZA', 'Pengawasan Narkotika, Psikotropika, dan Zat Adiktif'],
  ['BERBAHAYA', 'Pengawasan Produk dan Bahan Berbahaya'],
];

const memberships: [organisation: keyof typeof organisations, directorate: string][] = [
  ['pangan', 'PANGAN'],
  ['pangan', 'OT'],
  ['kosmetika', 'OT'],
];

/** Writes the companies, directorates and people that are missing; what stands is left as it is. */
export async function seedPeople(db: Database): Promise<void> {
  const organisation_ids = new Map<string, string>();
  for (const [key, organisation] of Object.entries(organisations))
    organisation_ids.set(key, (await saveOrganisation(db, organisation)).id);
  const directorate_ids = new Map<string, string>();
  for (const [code, name] of directorates)
    directorate_ids.set(code, (await saveDirectorate(db, { agency_code: 'BPOM', code, name })).id);
  for (const [organisation, directorate] of memberships) {
    await addMembership(db, organisation_ids.get(organisation) as string, directorate_ids.get(directorate) as string);
  }
  for (const person of people) await seedPerson(db, person, organisation_ids);
}

async function seedPerson(db: Database, person: DemoPerson, organisation_ids: Map<string, string>): Promise<void> {
  const known = await db
    .selectFrom('account_identifiers')
    .select('account_id')
    .where('canonical', '=', canonicalise(person.username))
    .executeTakeFirst();
  if (known) return;
  const { username, full_name, email, mobile_number } = person;
  const account = await createAccount(db, {
    username,
    password: demo_password,
    full_name,
    email,
    email_verified: true,
    mobile_number,
    mobile_number_verified: true,
    phone_number: person.phone_number ?? null,
    fax_number: person.fax_number ?? null,
    address: person.address ?? null,
    city: person.city ?? null,
    postal_code: person.postal_code ?? null,
    expires_at: person.expires_in_months === undefined ? null : inMonths(person.expires_in_months),
  });
  const organisation_id = person.organisation && organisation_ids.get(person.organisation);
  if (organisation_id) await addPerson(db, account.id, organisation_id, person.position);
  await grantRole(db, account.id, person.role, {
    ...(person.agency_code ? { agency_code: person.agency_code } : {}),
    ...(organisation_id ? { organisation_id } : {}),
  });
}

function inMonths(months: number): Date {
  const date = now();
  date.setUTCMonth(date.getUTCMonth() + months, 1);
  return date;
}

/** Where the demonstration's applications are; they are registered with these addresses. */
export interface DemoAddresses {
  e_bpom: string;
  portal_insw: string;
}

/** The clients `e-bpom` and `portal-insw`. */
export function demoClients({ e_bpom, portal_insw }: DemoAddresses): ClientRegistration[] {
  const common = (url: string) => ({
    client_uri: `${url}/`,
    redirect_uris: [`${url}/callback`],
    post_logout_redirect_uris: [`${url}/signed-out`],
    backchannel_logout_uri: `${url}/backchannel-logout`,
    backchannel_logout_session_required: true,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
  });
  const scope = 'openid profile email phone address organization role';
  return [
    {
      id: 'e-bpom',
      agency_code: 'BPOM',
      first_party: true,
      directorate_required: true,
      metadata: { ...common(e_bpom), client_name: 'e-BPOM', scope: `${scope} directorate linked_account` },
    },
    {
      id: 'portal-insw',
      agency_code: 'LNSW',
      first_party: true,
      metadata: { ...common(portal_insw), client_name: 'Portal INSW', scope },
    },
  ];
}

/** Registers the demonstration's clients, each with its secret, through the engine's own validation. */
export async function seedClients(
  store: ClientStore,
  addresses: DemoAddresses,
  secret: (client_id: string) => string,
  validate: (metadata: Record<string, unknown>) => Promise<void>,
): Promise<void> {
  for (const client of demoClients(addresses)) {
    await saveClient(store, client, validate);
    await addClientSecret(store, client.id, secret(client.id));
  }
}
