// Parameter servers over <ray/api.h>: parameters in shards, policies of when gradients count, and optimisers beside the
// parameters. Link raylet::parameter_server; nothing has to be given to RAY_REMOTE. docs/parameter_servers.md says
// which policy to use when.
#pragma once

#include <ray/api.h>

#include <ray/parameter_server/custom.h>
#include <ray/parameter_server/layout.h>
#include <ray/parameter_server/options.h>
#include <ray/parameter_server/parameters.h>
#include <ray/parameter_server/snapshot.h>
#include <ray/parameter_server/table.h>
