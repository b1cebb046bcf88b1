// For tests: finds a daemon's program as ray::Init does, and prints where. With "init" it starts the private daemons
// instead and ends them again. Its exit code is what such a program's should be: 3 where nobody serves the address.
#include <cstdio>
#include <string>

#include <ray/api.h>

#include "client/ray/cluster/private_daemons.h"

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  try {
    if (what == "init") {
      ray::Init();
      ray::Shutdown();
      std::puts("initialized");
    } else {
      std::puts(raylet::client::FindProgram(what).c_str());
    }
    return 0;
  } catch (const ray::internal::RayNotRunningException& e) {
    std::puts(e.what());
    return 3;
  } catch (const ray::internal::RayException& e) {
    std::puts(e.what());
    return 1;
  }
}
