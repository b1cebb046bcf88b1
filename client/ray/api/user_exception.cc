#include "client/ray/api/user_exception.h"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>

namespace ray::internal {

std::string Demangle(const char* type_name) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(type_name, nullptr, nullptr, &status),
                                                         &std::free);
  return status == 0 && name != nullptr ? std::string(name.get()) : std::string(type_name);
}

ThrownDescription DescribeCurrentException() {
  ThrownDescription thrown;
  const std::type_info* type = abi::__cxa_current_exception_type();
  thrown.type = type != nullptr ? Demangle(type->name()) : "an exception of another language";
  try {
    throw;
  } catch (const std::exception& e) {
    const char* const text = e.what();  // may be null, in user code
    thrown.what = text != nullptr ? text : "";
  } catch (const std::string& text) {
    thrown.what = text;
  } catch (const char* text) {
    thrown.what = text != nullptr ? text : "";
  } catch (...) {}
  return thrown;
}

}  // namespace ray::internal
