// Every page, in the order of the navigation. A new page is one folder and one line here.

import type { Component } from 'svelte';
import Gauge from '@lucide/svelte/icons/gauge';
import Hand from '@lucide/svelte/icons/hand';
import Activity from '@lucide/svelte/icons/list';
import Cog from '@lucide/svelte/icons/settings';
import Home from '@lucide/svelte/icons/layout-dashboard';
import Key from '@lucide/svelte/icons/key-round';
import type { Engine } from '../lib/engine.svelte';
import type { Icon } from '../lib/icon';
import ActivityPage from './activity/Activity.svelte';
import ApprovalsPage from './approvals/Approvals.svelte';
import OverviewPage from './overview/Overview.svelte';
import QuotasPage from './quotas/Quotas.svelte';
import SecretsPage from './secrets/Secrets.svelte';
import SettingsPage from './settings/Settings.svelte';

export interface Page {
  id: string;
  title: string;
  icon: Icon;
  component: Component;
  /** How much waits here for the person. */
  badge?: (engine: Engine) => number;
  /** Set off from the pages above it. */
  apart?: boolean;
}

export const PAGES: Page[] = [
  { id: 'overview', title: 'Overview', icon: Home, component: OverviewPage },
  { id: 'activity', title: 'Activity', icon: Activity, component: ActivityPage },
  { id: 'approvals', title: 'Approvals', icon: Hand, component: ApprovalsPage, badge: (engine) => engine.waiting },
  { id: 'quotas', title: 'Quotas', icon: Gauge, component: QuotasPage },
  { id: 'secrets', title: 'Secrets', icon: Key, component: SecretsPage },
  { id: 'settings', title: 'Settings', icon: Cog, component: SettingsPage, apart: true },
];
