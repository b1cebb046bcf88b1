#include "fbs/messages.h"

namespace raylet {

std::unique_ptr<wire::StatusT> OkStatus() { return std::make_unique<wire::StatusT>(); }

std::unique_ptr<wire::StatusT> ToStatus(const Error& error) {
  auto status = std::make_unique<wire::StatusT>();
  status->code = static_cast<uint16_t>(error.code);
  status->message = error.message;
  return status;
}

Result<void> FromStatus(const wire::StatusT& status) {
  if (status.code == 0) return {};
  return Fail(static_cast<ErrorCode>(status.code), status.message);
}

Bytes EncodeStatusReply(const Result<void>& outcome) {
  wire::StatusReplyT reply;
  reply.status = outcome ? OkStatus() : ToStatus(outcome.error());
  return Encode(reply);
}

}  // namespace raylet
