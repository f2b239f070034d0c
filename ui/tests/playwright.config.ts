import { defineConfig } from '@playwright/test';
import { shared } from './browser';

export default defineConfig({ ...shared, testMatch: '*.spec.ts', fullyParallel: true, timeout: 180_000, retries: 0 });
