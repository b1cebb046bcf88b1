#include "base/result.h"

#include <cstring>

namespace raylet {

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOk: return "OK";
    case ErrorCode::kInvalid: return "Invalid";
    case ErrorCode::kAlreadyExists: return "AlreadyExists";
    case ErrorCode::kNotFound: return "NotFound";
    case ErrorCode::kWrongState: return "WrongState";
    case ErrorCode::kFull: return "Full";
    case ErrorCode::kTooLarge: return "TooLarge";
    case ErrorCode::kTimedOut: return "TimedOut";
    case ErrorCode::kProtocolError: return "ProtocolError";
    case ErrorCode::kVersionMismatch: return "VersionMismatch";
    case ErrorCode::kDisconnected: return "Disconnected";
    case ErrorCode::kNotAllowed: return "NotAllowed";
    case ErrorCode::kForked: return "Forked";
    case ErrorCode::kIo: return "IoError";
    case ErrorCode::kNotRunning: return "NotRunning";
    case ErrorCode::kSlowConsumer: return "SlowConsumer";
    case ErrorCode::kCancelled: return "Cancelled";
    case ErrorCode::kUnavailable: return "Unavailable";
    case ErrorCode::kLimit: return "Limit";
  }
  return "Unknown";
}

tl::unexpected<Error> FailErrno(std::string_view what, int errno_value) {
  char text[128];
  const char* reason = strerror_r(errno_value, text, sizeof text);  // the GNU form, which returns the text
  return Fail(ErrorCode::kIo, std::string(what) + ": " + reason);
}

}  // namespace raylet
