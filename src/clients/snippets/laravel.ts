/** Settings for Laravel: a provider of its own for Socialite. */

import type { Snippet } from '../snippets.ts';
import { type Facts, singleQuote } from './facts.ts';

/** The environment, and the provider that reads it. */
export function writeLaravel(facts: Facts): Snippet[] {
  if (facts.method === 'client_secret_jwt') return [];
  const title = 'Laravel (Socialite)';
  const env = `GAPURA_CLIENT_ID=${facts.id}
GAPURA_CLIENT_SECRET=
GAPURA_REDIRECT_URI=${facts.returns}
`;
  const provider = `<?php

namespace App\\Socialite;

use Laravel\\Socialite\\Two\\AbstractProvider;
use Laravel\\Socialite\\Two\\User;

// In config/services.php:
//   'gapura' => [
//       'client_id' => env('GAPURA_CLIENT_ID'),
//       'client_secret' => env('GAPURA_CLIENT_SECRET'),
//       'redirect' => env('GAPURA_REDIRECT_URI'),
//   ],
// In AppServiceProvider::boot():
//   Socialite::extend('gapura', fn () => Socialite::buildProvider(
//       \\App\\Socialite\\GapuraProvider::class, config('services.gapura')));
class GapuraProvider extends AbstractProvider
{
    protected $usesPKCE = true;
    protected $scopeSeparator = ' ';
    protected $scopes = [${facts.scope.split(' ').map(singleQuote).join(', ')}];
    private string $issuer = ${singleQuote(facts.issuer)};

    protected function getAuthUrl($state)
    {
        return $this->buildAuthUrlFromBase($this->issuer.'/auth', $state);
    }

    protected function getTokenUrl()
    {
        return $this->issuer.'/token';
    }

    protected function getUserByToken($token)
    {
        $answer = $this->getHttpClient()->get($this->issuer.'/userinfo', [
            'headers' => ['Authorization' => 'Bearer '.$token],
        ]);

        return json_decode((string) $answer->getBody(), true);
    }

    protected function mapUserToObject(array $user)
    {
        return (new User)->setRaw($user)->map([
            'id' => $user['sub'],
            'nickname' => $user['preferred_username'] ?? null,
            'name' => $user['name'] ?? null,
            'email' => $user['email'] ?? null,
        ]);
    }
}
`;
  return [
    { name: 'laravel', title, file: '.env', language: 'shell', text: env },
    { name: 'laravel-php', title, file: 'app/Socialite/GapuraProvider.php', language: 'php', text: provider },
  ];
}
