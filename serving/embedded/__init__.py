"""The embedded gateway: orders in, admitted by the plan, sent once to upstreams that are well."""
