#include "client/ray/cluster/failure.h"

#include <unistd.h>

#include <ray/api/exceptions.h>

#include "base/strings.h"
#include "client/ray/api/user_exception.h"
#include "fbs/text_bounds.h"

namespace raylet::client {
FailurePtr MakeFailure(wire::FailureKind kind, std::string message, std::string hint) {
  auto failure = std::make_shared<Failure>();
  failure->kind = kind;
  failure->message = std::move(message);
  failure->hint = std::move(hint);
  return failure;
}

FailurePtr FailureOfCurrentException(std::string_view function) {
  ray::internal::ThrownDescription thrown = ray::internal::DescribeCurrentException();
  thrown.what = Shortened(std::move(thrown.what), kFailureTextBytesMax);
  thrown.type = Shortened(std::move(thrown.type), kFailureTextBytesMax);
  auto failure = std::make_shared<Failure>();
  failure->kind = wire::FailureKind::TaskThrew;
  failure->function = function;
  failure->message = StrCat(failure->function, " threw ", thrown.type,
                            thrown.what.empty() ? std::string() : StrCat(": ", thrown.what));
  failure->exception_type = std::move(thrown.type);
  failure->what = std::move(thrown.what);
  failure->pid = ::getpid();
  failure->may_have_run = true;
  return failure;
}

FailurePtr FailureOf(const Error& error, std::string_view doing) {
  return MakeFailure(wire::FailureKind::Other, StrCat(doing, ": ", error.message));
}

FailurePtr AsActorDied(const Failure& failure, bool may_have_run) {
  auto copy = std::make_shared<Failure>(failure);
  copy->kind = wire::FailureKind::ActorDied;
  copy->may_have_run = may_have_run;
  copy->retry_safe = !may_have_run;
  return copy;
}

std::string EncodeFailure(const Failure& failure) {
  Failure shortened = failure;
  Shorten(shortened);
  const Bytes bytes = Encode(shortened);
  return std::string(AsText(bytes));
}

FailurePtr DecodeFailure(std::string_view bytes) {
  if (bytes.size() > kFailureBytesMax) {
    return MakeFailure(wire::FailureKind::Other,
                       StrCat("an unreadable failure of ", bytes.size(), " bytes; the limit is ", kFailureBytesMax));
  }
  // A copy, since another process may change shared memory between the check and the use.
  const std::string copy(bytes);
  auto failure = Parse<Failure>(std::as_bytes(std::span(copy.data(), copy.size())));
  if (!failure)
    return MakeFailure(wire::FailureKind::Other, StrCat("an unreadable failure: ", failure.error().message));
  Shorten(*failure);  // its texts may share their bytes, and so be longer than it is
  return std::make_shared<Failure>(*std::move(failure));
}

void Throw(const Failure& failure) {
  ray::internal::FailureDetails details;
  details.cause = failure.message;
  details.pid = failure.pid;
  details.signal = failure.signal;
  details.may_have_run = failure.may_have_run;
  details.retry_safe = failure.retry_safe;
  details.hint = failure.hint;
  switch (failure.kind) {
    case wire::FailureKind::TaskThrew:
      throw ray::internal::RayTaskException(failure.function, failure.exception_type, failure.what, std::move(details));
    case wire::FailureKind::WorkerDied: throw ray::internal::RayWorkerException(failure.message, std::move(details));
    case wire::FailureKind::ActorDied: throw ray::internal::RayActorException(failure.message, std::move(details));
    case wire::FailureKind::FunctionNotFound:
      throw ray::internal::RayFunctionNotFound(failure.message, std::move(details));
    case wire::FailureKind::ObjectLost:
      throw ray::internal::UnreconstructableException(failure.message, std::move(details));
    case wire::FailureKind::RuntimeEnv:
      throw ray::internal::RayRuntimeEnvException(failure.message, std::move(details));
    case wire::FailureKind::TaskCancelled:
      throw ray::internal::RayTaskCancelledException(failure.message, std::move(details));
    case wire::FailureKind::Cancelled:
    case wire::FailureKind::Other: break;
  }
  throw ray::internal::RayException(failure.message, std::move(details));  // also a kind that a newer peer knows
}

void Throw(const Error& error) {
  if (error.code == ErrorCode::kTimedOut) throw ray::internal::RayTimeoutException(error.message);
  if (error.code == ErrorCode::kNotRunning) throw ray::internal::RayNotRunningException(error.message);
  throw ray::internal::RayException(error.message);
}

}  // namespace raylet::client
