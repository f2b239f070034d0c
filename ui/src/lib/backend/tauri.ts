// The app's window: each method is one command of src-tauri. Nothing else of the system can be reached from here.

import { invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';
import type { Backend } from '../backend';

export const tauri: Backend = {
  status: () => invoke('status'),
  on: () => invoke('on'),
  off: (request) => invoke('off', { request }),
  activity: (request) => invoke('activity', { request }),
  audit: (filter) => invoke('audit', { filter }),
  verify: () => invoke('verify'),
  exportTrail: (filter, format) => invoke('export_trail', { filter, format }),
  rules: () => invoke('rules'),
  sources: () => invoke('sources'),
  syncSources: () => invoke('sync_sources'),
  policy: () => invoke('policy'),
  reloadPolicy: () => invoke('reload_policy'),
  quota: () => invoke('quota'),
  quotaHistory: () => invoke('quota_history'),
  approvals: () => invoke('approvals'),
  approve: (answer) => invoke('approve', { answer }),
  deny: (answer) => invoke('deny', { answer }),
  revoke: (answer) => invoke('revoke', { answer }),
  allowed: () => invoke('allowed'),
  allow: (draft) => invoke('allow', { draft }),
  disallow: (removal) => invoke('disallow', { removal }),
  ca: () => invoke('ca'),
  selfTest: () => invoke('self_test'),
  toolSetup: () => invoke('tool_setup'),
  removeCertificate: () => invoke('remove_certificate'),
  bringBack: () => invoke('bring_back'),
  shell: () => invoke('shell'),
  changeShell: (add) => invoke('change_shell', { add }),
  quit: () => invoke('quit'),
  settings: () => invoke('settings'),
  changeSettings: (settings) => invoke('change_settings', { settings }),
  listen(heard) {
    const stop = listen<Parameters<typeof heard>[0]>('sallyport', (event) => heard(event.payload));
    return () => void stop.then((unlisten) => unlisten());
  },
};
