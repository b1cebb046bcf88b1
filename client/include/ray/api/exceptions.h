// The exceptions of ray::. Each says why, and whether it is safe to try again.
#pragma once

#include <ray/internal/abi.h>

#include <exception>
#include <string>

#include <ray/internal/export.h>

namespace ray {
namespace internal {

// Details of a failure besides its message.
struct FailureDetails {
  std::string cause;          // one sentence; empty: the message says it all
  int pid = 0;                // the process that failed; 0: none
  int signal = 0;             // what killed it; 0: no signal
  bool may_have_run = false;  // the function may have run, in part or as a whole
  bool retry_safe = false;    // the same call again does no harm: it never began
  std::string hint;           // what to do about it
};

class RAYLET_API RayException : public std::exception {
 public:
  explicit RayException(std::string message);
  RayException(const std::string& message, FailureDetails details);
  RayException(const RayException&) = default;
  RayException& operator=(const RayException&) = default;
  ~RayException() override;

  // The message, with process, signal and hint where there are any.
  const char* what() const noexcept override { return what_.c_str(); }

  const std::string& cause() const { return details_.cause; }
  int pid() const { return details_.pid; }
  int signal() const { return details_.signal; }
  bool may_have_run() const { return details_.may_have_run; }
  bool retry_safe() const { return details_.retry_safe; }
  const std::string& hint() const { return details_.hint; }
  const FailureDetails& details() const { return details_; }

 private:
  std::string what_;
  FailureDetails details_;
};

// The actor is dead, or died before it answered.
class RAYLET_API RayActorException : public RayException {
 public:
  using RayException::RayException;
  RayActorException(const RayActorException&) = default;
  ~RayActorException() override;
};

// The user's function threw.
class RAYLET_API RayTaskException : public RayException {
 public:
  using RayException::RayException;
  RayTaskException(std::string function, std::string exception_type, std::string thrown_what, FailureDetails details);
  RayTaskException(const RayTaskException&) = default;
  ~RayTaskException() override;

  const std::string& function() const { return function_; }              // its name as given to RAY_REMOTE
  const std::string& exception_type() const { return exception_type_; }  // demangled
  const std::string& thrown_what() const { return thrown_what_; }        // empty unless a std::exception was thrown

 private:
  std::string function_;
  std::string exception_type_;
  std::string thrown_what_;
};

// The task was cancelled by ray::Cancel.
class RAYLET_API RayTaskCancelledException : public RayException {
 public:
  using RayException::RayException;
  RayTaskCancelledException(const RayTaskCancelledException&) = default;
  ~RayTaskCancelledException() override;
};

// The worker died while it ran a task.
class RAYLET_API RayWorkerException : public RayException {
 public:
  using RayException::RayException;
  RayWorkerException(const RayWorkerException&) = default;
  ~RayWorkerException() override;
};

// The object is lost: its owner died, or every copy is gone.
class RAYLET_API UnreconstructableException : public RayException {
 public:
  using RayException::RayException;
  UnreconstructableException(const UnreconstructableException&) = default;
  ~UnreconstructableException() override;
};

// The function was not given to RAY_REMOTE.
class RAYLET_API RayFunctionNotFound : public RayException {
 public:
  using RayException::RayException;
  RayFunctionNotFound(const RayFunctionNotFound&) = default;
  ~RayFunctionNotFound() override;
};

// The environment that a task or actor asked for could not be made.
class RAYLET_API RayRuntimeEnvException : public RayException {
 public:
  using RayException::RayException;
  RayRuntimeEnvException(const RayRuntimeEnvException&) = default;
  ~RayRuntimeEnvException() override;
};

// The time given to Get or Wait is over.
class RAYLET_API RayTimeoutException : public RayException {
 public:
  using RayException::RayException;
  RayTimeoutException(const RayTimeoutException&) = default;
  ~RayTimeoutException() override;
};

// ray::Init found no raylet, or no store, at the address it was given. The message says how to start them.
class RAYLET_API RayNotRunningException : public RayException {
 public:
  using RayException::RayException;
  RayNotRunningException(const RayNotRunningException&) = default;
  ~RayNotRunningException() override;
};

}  // namespace internal
}  // namespace ray
