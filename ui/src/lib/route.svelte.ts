// Which page is shown: the part of the address behind `#`. `#/activity?exchange=…` hands a page its first filter.

export interface Route {
  page: string;
  query: URLSearchParams;
}

/** The app's own addresses begin with a slash, which `open` puts before them once more. */
export function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/*/, '').split('?');
  return { page: path || 'overview', query: new URLSearchParams(query) };
}

class Router {
  current = $state.raw<Route>(parse(typeof location === 'undefined' ? '' : location.hash));

  start(): () => void {
    const changed = () => (this.current = parse(location.hash));
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }

  open(page: string, query: Record<string, string> = {}) {
    const search = new URLSearchParams(query).toString();
    location.hash = `/${page}${search ? `?${search}` : ''}`;
  }
}

export const router = new Router();
