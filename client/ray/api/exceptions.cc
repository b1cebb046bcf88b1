#include <ray/api/exceptions.h>

#include <cstring>
#include <utility>

#include "base/strings.h"

namespace ray::internal {
namespace {

std::string Compose(const std::string& message, const FailureDetails& details) {
  std::string text = message;
  if (details.pid != 0) text += raylet::StrCat(" [pid ", details.pid, "]");
  if (details.signal != 0) {
    const char* name = sigabbrev_np(details.signal);
    text += raylet::StrCat(" [signal ", details.signal, name != nullptr ? raylet::StrCat(" SIG", name) : "", "]");
  }
  if (details.may_have_run) text += " [may have run]";
  if (!details.hint.empty()) text += raylet::StrCat(" Hint: ", details.hint);
  return text;
}

}  // namespace

RayException::RayException(std::string message) : what_(std::move(message)) { details_.cause = what_; }

RayException::RayException(const std::string& message, FailureDetails details)
    : what_(Compose(message, details)), details_(std::move(details)) {
  if (details_.cause.empty()) details_.cause = message;
}

RayTaskException::RayTaskException(std::string function, std::string exception_type, std::string thrown_what,
                                   FailureDetails details)
    : RayException(raylet::StrCat(function, " threw ", exception_type,
                                  thrown_what.empty() ? std::string() : raylet::StrCat(": ", thrown_what)),
                   std::move(details)),
      function_(std::move(function)),
      exception_type_(std::move(exception_type)),
      thrown_what_(std::move(thrown_what)) {}

// Defined here, so that each type has its one type_info in this library.
RayException::~RayException() = default;
RayActorException::~RayActorException() = default;
RayTaskException::~RayTaskException() = default;
RayTaskCancelledException::~RayTaskCancelledException() = default;
RayWorkerException::~RayWorkerException() = default;
UnreconstructableException::~UnreconstructableException() = default;
RayFunctionNotFound::~RayFunctionNotFound() = default;
RayRuntimeEnvException::~RayRuntimeEnvException() = default;
RayTimeoutException::~RayTimeoutException() = default;
RayNotRunningException::~RayNotRunningException() = default;

}  // namespace ray::internal
