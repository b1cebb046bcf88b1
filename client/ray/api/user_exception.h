// Describes an exception of user code in words. Used where exceptions of tasks and actors are caught.
#pragma once

#include <string>

namespace ray::internal {

std::string Demangle(const char* type_name);

struct ThrownDescription {
  std::string type;  // demangled
  std::string what;  // empty unless a std::exception, a std::string or a const char* was thrown
};

// Inside a catch block: the exception being handled.
ThrownDescription DescribeCurrentException();

}  // namespace ray::internal
