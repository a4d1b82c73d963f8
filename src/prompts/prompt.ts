/** The pages between an application's request and its answer: one address, one dispatcher, a leaf per question. */

import type Router from '@koa/router';
import type { Context } from 'koa';
import type { PasswordStore } from '../accounts/password-change.ts';
import type { Database } from '../database.ts';
import { followUiLocales } from '../http/language.ts';
import type { CheckStore } from '../human-check/mail-code.ts';
import type { LinkStore } from '../links/link.ts';
import type { RecoveryStore } from '../recovery/recovery.ts';
import type { SignInStore } from '../sign-in.ts';
import { page } from '../views.ts';
import { consentPrompt } from './consent.ts';
import { directoratePrompt } from './directorate.ts';
import { linkPrompt } from './link.ts';
import { loginPrompt } from './login.ts';
import { passwordPrompt } from './password.ts';

/** The application that asks, as a page names it. */
export interface Asking {
  id: string;
  name: string;
  agency?: string;
  logo_uri?: string;
  client_uri?: string;
  policy_uri?: string;
  tos_uri?: string;
}

/** A client with what the prompts decide by. */
export interface AskingClient {
  asking: Asking;
  /** The code of the agency it belongs to. */
  agency_code: string | undefined;
  directorate_required: boolean;
  /** It registered itself, and nobody has checked who it is. */
  is_unchecked: boolean;
  /** Origins that a form of its prompt pages may end up at (DESIGN 7). */
  form_origins: string[];
  /** Where a person goes to begin again, if the client says so. */
  way_back: string | undefined;
}

/** An interaction of the engine, as much as the prompts read of it. */
export interface Interaction {
  uid: string;
  prompt: { name: string; details?: Record<string, unknown> };
  params: Record<string, unknown>;
  /** Who is signed in, and in which session. */
  session?: { accountId: string; uid: string } | undefined;
  /** Where this answer goes, for form-action: a native application listens on a port of its own each time (RFC 8252, 7.3). */
  answer_sources: string[];
}

/** What the prompts need of the engine; it is handed in, so that they can be read and tested without it. */
export interface Engine {
  /** The interaction of this browser's request; undefined when there is none, or it is over, or it is another browser's. */
  findInteraction(ctx: Context): Promise<Interaction | undefined>;
  /** Notes an answer, or an OAuth error, and gives the address at which the engine goes on. */
  answer(ctx: Context, result: Record<string, unknown>): Promise<string>;
  /** A client, described in a language. */
  findClient(id: string, language: string): Promise<AskingClient | undefined>;
  /** Why an address is no longer valid, and whose application it served. */
  findPast(uid: string): Promise<{ because: 'finished' | 'expired' | 'elsewhere'; client_id: string } | undefined>;
}

/** What every prompt is given. */
export interface PromptStore {
  db: Database;
  engine: Engine;
  sign_ins: SignInStore;
  checks: CheckStore;
  links: LinkStore;
  passwords: PasswordStore;
  recoveries: RecoveryStore;
}

/** One request to a prompt's page. */
export interface Visit {
  ctx: Context;
  store: PromptStore;
  interaction: Interaction;
  client: AskingClient;
  /** The address that the page's form is sent to. */
  action: string;
  /** Answers the question and goes on: `result` under the prompt's own name, or what the engine expects of it. */
  finish(result: Record<string, unknown>): Promise<void>;
  /** Gives up and goes back to the application with `access_denied`. */
  abandon(): Promise<void>;
}

/** A question between application and token. A leaf shows it and takes the answer; all else is kept here. */
export interface Prompt {
  /** The name of the engine's prompt. */
  name: string;
  show(visit: Visit): Promise<void>;
  submit(visit: Visit): Promise<void>;
}

/** The prompts there are; the order in which they are asked is the engine's policy (oidc/provider.ts). */
const prompts: Prompt[] = [loginPrompt, passwordPrompt, directoratePrompt, linkPrompt, consentPrompt];

/** Serves GET and POST /interaction/:uid. */
export function mountPrompts(router: Router, store: PromptStore): void {
  router.get('/interaction/:uid', (ctx) => visit(ctx, store, (prompt, request) => prompt.show(request)));
  router.post('/interaction/:uid', (ctx) => visit(ctx, store, (prompt, request) => prompt.submit(request)));
}

async function visit(
  ctx: Context,
  store: PromptStore,
  act: (prompt: Prompt, visit: Visit) => Promise<void>,
): Promise<void> {
  const uid = String(ctx.params.uid);
  const interaction = await store.engine.findInteraction(ctx);
  if (!interaction || interaction.uid !== uid) return showOver(ctx, store, uid);
  followUiLocales(ctx, interaction.params.ui_locales);
  const client = await store.engine.findClient(String(interaction.params.client_id), ctx.state.language);
  const prompt = prompts.find((candidate) => candidate.name === interaction.prompt.name);
  if (!client || !prompt) return showOver(ctx, store, uid);

  ctx.state.csp.form_action.push(...client.form_origins, ...interaction.answer_sources);
  const goOn = async (result: Record<string, unknown>) => {
    const address = await store.engine.answer(ctx, result);
    ctx.status = 303;
    ctx.redirect(address);
  };
  await act(prompt, {
    ctx,
    store,
    interaction,
    client,
    action: `/interaction/${uid}`,
    finish: goOn,
    abandon: () => goOn({ error: 'access_denied', error_description: 'the person went back to the application' }),
  });
}

/** A page that is no longer valid: what happened, and a way on. Never a dead end (DESIGN 9). */
async function showOver(ctx: Context, store: PromptStore, uid: string): Promise<void> {
  const past = await store.engine.findPast(uid);
  const client = past && (await store.engine.findClient(past.client_id, ctx.state.language));
  const { t } = ctx.state;
  const back = client?.way_back
    ? [{ href: client.way_back, label: t('prompts.over.back', { client: client.asking.name }) }]
    : [];
  ctx.status = past ? 410 : 404;
  page(ctx, 'prompts/over', {
    reason: past?.because ?? 'elsewhere',
    client: client?.asking,
    ways: [...back, { href: '/portal', label: t('prompts.over.portal') }],
  });
}
