#include "fbs/messages.h"

#include "base/strings.h"
#include "fbs/peer_object_generated.h"

namespace raylet {

namespace {
template <class StringOrVector>
size_t BytesOf(const StringOrVector* field) {
  return field == nullptr ? 0 : field->size();
}
size_t BytesOf(const wire::Failure* failure) {
  if (failure == nullptr) return 0;
  return BytesOf(failure->message()) + BytesOf(failure->function()) + BytesOf(failure->exception_type()) +
         BytesOf(failure->what()) + BytesOf(failure->hint());
}

template <class Element>
bool IsAligned(const flatbuffers::Vector<Element>* vector) {
  return vector == nullptr || vector->size() == 0 || reinterpret_cast<uintptr_t>(vector->Data()) % 8 == 0;
}

}  // namespace

std::string LostText(const ObjectId& id) {
  return StrCat("ObjectLost: object ", id.hex(),
                " was spilled to disk, and its bytes cannot be read any more; the log ",
                "of plasma_store says why. Delete it, and create it anew");
}

bool ElementsAreAligned(const wire::ProcessNotice& notice) {
  return IsAligned(notice.also()) && IsAligned(notice.met());
}
bool ElementsAreAligned(const wire::SettledNotice& notice) { return IsAligned(notice.processes()); }
bool ElementsAreAligned(const wire::EndClaimedNotice& notice) { return IsAligned(notice.waits_for()); }
bool ElementsAreAligned(const wire::LocateRequest& request) { return IsAligned(request.without()); }
bool ElementsAreAligned(const wire::LocatedNotice& notice) {
  return IsAligned(notice.copies()) && IsAligned(notice.lost_with());
}
bool ElementsAreAligned(const wire::CopiesSealedNotice& notice) { return IsAligned(notice.objects()); }

size_t SharedTargetBytes(const wire::RegisterRequest& request) {
  size_t bytes = 0;
  for (const auto* argument : *request.arguments()) bytes += BytesOf(argument);
  for (const auto* variable : *request.environment()) bytes += BytesOf(variable);
  return bytes;
}

size_t SharedTargetBytes(const wire::TaskSpec& task) {
  size_t bytes = 0;
  for (const auto* argument : *task.arguments()) bytes += BytesOf(argument->bytes()) + BytesOf(argument->failure());
  for (const auto* resource : *task.resources()) bytes += BytesOf(resource->name());
  return bytes;
}

size_t SharedTargetBytes(const wire::LeaseRequest& request) {
  size_t bytes = 0;
  for (const auto* resource : *request.resources()) bytes += BytesOf(resource->name());
  return bytes;
}

size_t SharedTargetBytes(const wire::PeerHeartbeat& heartbeat) {
  size_t bytes = 0;
  for (const auto* line : *heartbeat.lines()) bytes += BytesOf(line->name());
  for (const auto* held : *heartbeat.held()) {
    // A list of its own holds at least an offset for each resource.
    bytes += held->resources()->size() * sizeof(flatbuffers::uoffset_t);
    for (const auto* resource : *held->resources()) bytes += BytesOf(resource->name());
  }
  return bytes;
}

size_t SharedTargetBytes(const wire::PeerIntroduction& introduction) {
  size_t bytes = 0;
  for (const auto* each : *introduction.introduced()) bytes += BytesOf(each->address());
  return bytes;
}

size_t SharedTargetBytes(const wire::JobProgramNotice& program) {
  size_t bytes = 0;
  for (const auto* argument : *program.arguments()) bytes += BytesOf(argument);
  for (const auto* variable : *program.environment()) bytes += BytesOf(variable);
  return bytes;
}

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
