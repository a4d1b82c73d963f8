/** The way back of somebody who forgot a password, in steps: the code is asked for, typed when its mail is there, and a new password set. */

import { newHttpVisitor } from '../support/http.ts';
import { Broken, pass, tell, Unexpected } from './answers.ts';
import { ask, asksWhoItIs, type Ground, send } from './asking.ts';
import { noteEnd, type Person } from './ledger.ts';
import { codeOf } from './mailbox.ts';

/** The next step of the way back with a code by mail; nothing, while the mail is on its way. */
export async function recover(person: Person, ground: Ground): Promise<void> {
  const { recovery } = person;
  if (!recovery) return askForCode(person, ground);
  if (!recovery.is_code_sent) {
    const mails = ground.mailbox.arrived.filter(({ to }) => to === person.mailbox);
    const code = mails.flatMap((mail) => codeOf(mail) ?? []).find((one) => !person.tried.has(one));
    if (code === undefined) return;
    if ((await typeCode(person, recovery, code)) === 'wrong') return;
  }
  await reset(person, recovery, `Pintu-Baru-${person.passwords.length}${Math.floor(ground.random() * 1e6)}-Kuning!`);
}

async function askForCode(person: Person, { url }: Ground): Promise<void> {
  const visitor = newHttpVisitor(url);
  const start = pass(await visitor.get('/recovery'));
  const address = await send(visitor, start, { username: person.username }, 'recovery');
  if (address.url.pathname !== '/recovery/address') throw new Unexpected(tell('a recovery', address));
  const told = ask(person, 'recovery_code_sent');
  const page = await send(visitor, address, {}, 'request');
  if (page.status !== 200 || page.url.pathname !== '/recovery/code')
    throw new Unexpected(tell('a request for a code', page));
  told();
  person.recovery = { visitor, page, is_code_sent: false };
}

async function typeCode(person: Person, recovery: NonNullable<Person['recovery']>, code: string) {
  const { visitor, page } = recovery;
  person.tried.add(code);
  const told = ask(person, 'recovery_verified');
  recovery.is_code_sent = true;
  const choice = await send(visitor, page, { code }, 'verification');
  const is_right = choice.status === 200 && choice.url.pathname === '/recovery/choice';
  if (is_right) {
    told();
    // Once more: the code is spent, and whoever types it again is led on or turned away.
    await send(visitor, page, { code }, 'verification');
    return 'right' as const;
  }
  recovery.is_code_sent = false;
  person.tally.recovery_verified.sent -= 1;
  const { sent, told: promised } = person.tally.recovery_code_sent;
  // The code of a request whose answer was lost opens nothing here; the right one is still to come.
  if (choice.status === 422 && sent > promised) return 'wrong' as const;
  person.recovery = undefined;
  throw new Unexpected(tell('a code', choice));
}

async function reset(person: Person, { visitor }: NonNullable<Person['recovery']>, password: string): Promise<void> {
  // Whatever comes of it, it is not tried again from here.
  person.recovery = undefined;
  const form = pass(await visitor.get('/recovery/password'));
  if (!form.body.includes('name="new_password"')) throw new Unexpected(tell('the new password', form));
  const told = ask(person, 'password_reset');
  const was_open = person.session === 'open';
  person.passwords = [...person.passwords, password];
  if (was_open) {
    person.session = 'unknown';
    person.is_resetting = true;
  }
  const both = { new_password: password, confirm_password: password };
  const done = await send(visitor, form, both, 'password');
  if (done.status !== 200 || !done.body.includes('berhasil diatur ulang')) throw new Unexpected(tell('a reset', done));
  told();
  person.passwords = [password];
  person.is_resetting = false;
  if (!was_open) return;
  const home = pass(await person.visitor.get('/portal'));
  if (!asksWhoItIs(home)) throw new Broken(`${person.username} has a new password, and the old session goes on`);
  noteEnd(person);
}
