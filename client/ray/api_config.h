// Flags and environment on top of a RayConfig.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <ray/api/ray_config.h>

namespace raylet::client {

// The config, overridden by --ray_… flags of the command line; RAY_ADDRESS counts where neither names an address.
// Arguments that are not ours are left alone. Throws RayException for a flag of ours that makes no sense.
ray::RayConfig ResolveConfig(ray::RayConfig config, int argc, const char* const* argv);

// Words of a command line: spaces separate, '…', "…" and {…} keep together.
std::vector<std::string> SplitWords(std::string_view text);

// Opens the libraries, and every *.so of the folders, so that their RAY_REMOTE functions are
// registered.
void LoadCodeSearchPath(const std::vector<std::string>& paths);

}  // namespace raylet::client
