// No editor, no users, no projects: what a site would run unattended.
module.exports = {
  httpAdminRoot: false,
  httpNodeRoot: false,
  flowFile: "flow.json",
  credentialSecret: false,
  logging: {console: {level: "warn", metrics: false, audit: false}},
  telemetry: {enabled: false},
};
