import { defineConfig } from '@playwright/test';
import { shared } from './browser';

export default defineConfig({ ...shared, testMatch: '*.spec.ts', fullyParallel: true, timeout: 60_000, retries: 0 });
