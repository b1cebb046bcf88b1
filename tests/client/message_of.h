// What a call throws, for tests that read it.
#pragma once

#include <functional>
#include <string>

#include <ray/api/exceptions.h>

namespace ray_test {

inline std::string MessageOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const ray::internal::RayException& e) {
    return e.what();
  }
  return "nothing was thrown";
}

}  // namespace ray_test
