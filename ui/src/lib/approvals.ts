// Permissions in a person's words. Pure.

import reasons from './reasons.json';
import type { ElevationView } from './types/ipc';
import { sentence } from './words';

const MEANS: Record<ElevationView['scope'], string> = {
  'filesystem:write': 'It may change these files.',
  'shell:execute': 'It may run these commands as you.',
  'network:external': 'It may send and fetch data there.',
  'secrets:read': 'It may use these secrets; their values are not shown to the model.',
};

/** What is asked for, and what it lets the agent do. */
export function meaning(request: ElevationView): { title: string; means: string } {
  return { title: sentence(reasons.scopes[request.scope]), means: MEANS[request.scope] };
}

/** Still in force: granted, not run out, not taken back. */
export function inForce(request: ElevationView, now: Date): boolean {
  return (request.state === 'approved' || request.state === 'used') && request.grant !== null && new Date(request.grant.expires_at) > now;
}

/** Milliseconds for which a client is still kept waiting for the answer; none where none is. */
export function heldFor(request: ElevationView, now: Date): number | undefined {
  if (request.state !== 'pending' || request.held_until === null) return undefined;
  const left = new Date(request.held_until).getTime() - now.getTime();
  return left > 0 ? left : undefined;
}

export function outcome(request: ElevationView): { word: string; tone: 'plain' | 'accent' | 'red' } {
  switch (request.state) {
    case 'approved':
    case 'used':
      return { word: request.uses > 0 ? `Granted, used ${request.uses} ${request.uses === 1 ? 'time' : 'times'}` : 'Granted, not used', tone: 'accent' };
    case 'denied':
      return { word: 'Denied', tone: 'red' };
    case 'revoked':
      return { word: 'Taken back', tone: 'red' };
    case 'expired':
      return { word: 'Not answered in time', tone: 'plain' };
    case 'pending':
      return { word: 'Waiting', tone: 'plain' };
  }
}
