#include "fbs/messages.h"

#include <algorithm>

#include "base/strings.h"
#include "fbs/peer_object_generated.h"
#include "fbs/text_bounds.h"

namespace raylet {

namespace {
template <class StringOrVector>
size_t BytesOf(const StringOrVector* field) {
  return field == nullptr ? 0 : field->size();
}
size_t BytesOf(const wire::Failure* failure) { return failure == nullptr ? 0 : TextBytes(*failure); }

size_t BytesOf(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* strings) {
  size_t bytes = 0;
  for (uint32_t i = 0; strings != nullptr && i < strings->size(); ++i) bytes += BytesOf(strings->Get(i));
  return bytes;
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
bool ElementsAreAligned(const wire::MetricReport& report) {
  return IsAligned(report.bounds()) && IsAligned(report.counts());
}
bool ElementsAreAligned(const wire::MetricsNotice& notice) {
  const auto aligned = [](const wire::MetricReport* report) { return ElementsAreAligned(*report); };
  return std::all_of(notice.metrics()->begin(), notice.metrics()->end(), aligned);
}

size_t SharedTargetBytes(const wire::RegisterRequest& request) {
  return BytesOf(request.arguments()) + BytesOf(request.environment()) + BytesOf(request.code_search_path());
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
  return BytesOf(program.arguments()) + BytesOf(program.environment()) + BytesOf(program.code_search_path());
}

size_t SharedTargetBytes(const wire::RegisterReply& reply) {
  return BytesOf(reply.addresses()) + BytesOf(reply.code_search_path());
}

size_t SharedTargetBytes(const wire::MetricReport& report) {
  size_t bytes = 0;
  for (const auto* tag : *report.tags()) bytes += BytesOf(tag->key()) + BytesOf(tag->value());
  return bytes;
}

size_t SharedTargetBytes(const wire::MetricsNotice& notice) {
  size_t bytes = 0;
  for (const auto* report : *notice.metrics()) {
    bytes += BytesOf(report->name()) + BytesOf(report->description()) + BytesOf(report->unit());
    // A list of its own holds at least an offset for each tag.
    bytes += report->tags()->size() * sizeof(flatbuffers::uoffset_t) + SharedTargetBytes(*report);
    bytes += (BytesOf(report->bounds()) + BytesOf(report->counts())) * sizeof(uint64_t);
  }
  return bytes;
}

size_t SharedTargetBytes(const wire::Bundle& bundle) {
  size_t bytes = 0;
  for (const auto* resource : *bundle.resources()) bytes += BytesOf(resource->name());
  return bytes;
}

namespace {

using BundleList = flatbuffers::Vector<flatbuffers::Offset<wire::Bundle>>;
using GroupList = flatbuffers::Vector<flatbuffers::Offset<wire::PlacementGroup>>;

// A list of its own holds at least an offset for each element.
size_t BytesOf(const BundleList* bundles) {
  size_t bytes = 0;
  for (const auto* bundle : *bundles)
    bytes += bundle->resources()->size() * sizeof(flatbuffers::uoffset_t) + SharedTargetBytes(*bundle);
  return bytes;
}

size_t BytesOf(const GroupList* groups) {
  size_t bytes = 0;
  for (const auto* group : *groups)
    bytes += group->bundles()->size() * sizeof(flatbuffers::uoffset_t) + SharedTargetBytes(*group) +
             BytesOf(group->name()) + BytesOf(group->reason()) + BytesOf(group->group_namespace());
  return bytes;
}

}  // namespace

size_t SharedTargetBytes(const wire::PlacementGroup& group) { return BytesOf(group.bundles()); }
size_t SharedTargetBytes(const wire::FindPlacementGroupsReply& reply) { return BytesOf(reply.groups()); }
size_t SharedTargetBytes(const wire::PrepareBundlesRequest& request) { return BytesOf(request.bundles()); }
size_t SharedTargetBytes(const wire::GroupsFoundNotice& notice) { return BytesOf(notice.groups()); }

std::unique_ptr<wire::StatusT> OkStatus() { return std::make_unique<wire::StatusT>(); }

std::unique_ptr<wire::StatusT> MakeWireStatus(const Error& error) {
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
  reply.status = outcome ? OkStatus() : MakeWireStatus(outcome.error());
  return Encode(reply);
}

Result<void> ParseStatusReply(const Result<Frame>& reply) {
  if (!reply) return Fail(reply.error());
  const auto status = Parse<wire::StatusReplyT>(reply->body);
  if (!status) return Fail(status.error());
  return FromStatus(*status->status);
}

}  // namespace raylet
