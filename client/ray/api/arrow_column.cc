#include "client/ray/api/arrow_column.h"

#include <charconv>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace ray::internal {
namespace {

namespace ipc = raylet::arrow_ipc;
using raylet::ErrorCode;
using raylet::Fail;
using raylet::Result;
using raylet::StrCat;
using Kind = ColumnLayout::Kind;

constexpr std::string_view kFixedBinary = "w:";
constexpr std::string_view kTimestamp = "ts";
constexpr std::string_view kTimeUnits = "smun";  // by TimeUnit
constexpr int kFixedBinaryBytesMax = 1 << 30;

struct NumberType {
  char format;
  int bits;
  bool is_signed;
};
constexpr NumberType kIntegers[] = {{'c', 8, true},  {'C', 8, false},  {'s', 16, true}, {'S', 16, false},
                                    {'i', 32, true}, {'I', 32, false}, {'l', 64, true}, {'L', 64, false}};
constexpr std::string_view kReals = "efg";  // by Precision

std::optional<int> FixedBinaryBytes(std::string_view format) {
  if (!format.starts_with(kFixedBinary)) return std::nullopt;
  const std::string_view digits = format.substr(kFixedBinary.size());
  int bytes = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
  if (error != std::errc() || end != digits.data() + digits.size() || bytes < 0 || bytes > kFixedBinaryBytesMax)
    return std::nullopt;
  return bytes;
}

// "tsu:Europe/Berlin": the unit, and the time zone or nothing.
bool IsTimestamp(std::string_view format) {
  return format.size() >= 4 && format.starts_with(kTimestamp) && kTimeUnits.find(format[2]) != std::string_view::npos &&
         format[3] == ':';
}

std::optional<ColumnLayout> OfOneLetter(char format) {
  switch (format) {
    case 'b': return ColumnLayout{Kind::kBits, 0};
    case 'u':
    case 'z': return ColumnLayout{Kind::kBytes, 4};
    case 'U':
    case 'Z': return ColumnLayout{Kind::kBytes, 8};
    default: break;
  }
  for (const NumberType& type : kIntegers)
    if (type.format == format) return ColumnLayout{Kind::kFixed, static_cast<size_t>(type.bits / 8)};
  if (const size_t real = kReals.find(format); real != std::string_view::npos)
    return ColumnLayout{Kind::kFixed, size_t{2} << real};
  return std::nullopt;
}

struct BuiltType {
  ipc::Type type;
  flatbuffers::Offset<void> offset;
};

BuiltType BuildType(flatbuffers::FlatBufferBuilder& builder, const std::string& format) {
  if (format == "b") return {ipc::Type::Bool, ipc::CreateBool(builder).Union()};
  if (format == "u") return {ipc::Type::Utf8, ipc::CreateUtf8(builder).Union()};
  if (format == "z") return {ipc::Type::Binary, ipc::CreateBinary(builder).Union()};
  if (format == "U") return {ipc::Type::LargeUtf8, ipc::CreateLargeUtf8(builder).Union()};
  if (format == "Z") return {ipc::Type::LargeBinary, ipc::CreateLargeBinary(builder).Union()};
  if (format == "+l") return {ipc::Type::List, ipc::CreateList(builder).Union()};
  if (format == "+L") return {ipc::Type::LargeList, ipc::CreateLargeList(builder).Union()};
  if (format == "+s") return {ipc::Type::Struct_, ipc::CreateStruct_(builder).Union()};
  if (format == "tdD") return {ipc::Type::Date, ipc::CreateDate(builder, ipc::DateUnit::DAY).Union()};
  if (format == "tdm") return {ipc::Type::Date, ipc::CreateDate(builder, ipc::DateUnit::MILLISECOND).Union()};
  if (IsTimestamp(format)) {
    const std::string zone = format.substr(4);
    const flatbuffers::Offset<flatbuffers::String> text = zone.empty() ? 0 : builder.CreateString(zone);
    const auto unit = static_cast<ipc::TimeUnit>(kTimeUnits.find(format[2]));
    return {ipc::Type::Timestamp, ipc::CreateTimestamp(builder, unit, text).Union()};
  }
  if (const auto bytes = FixedBinaryBytes(format))
    return {ipc::Type::FixedSizeBinary, ipc::CreateFixedSizeBinary(builder, *bytes).Union()};
  for (const NumberType& type : kIntegers)
    if (type.format == format[0]) return {ipc::Type::Int, ipc::CreateInt(builder, type.bits, type.is_signed).Union()};
  const auto precision = static_cast<ipc::Precision>(kReals.find(format[0]));
  return {ipc::Type::FloatingPoint, ipc::CreateFloatingPoint(builder, precision).Union()};
}

// Empty: the type is none of those that a batch has here.
std::string FormatOf(const ipc::Field& field) {
  if (const auto* const whole = field.type_as_Int(); whole != nullptr) {
    for (const NumberType& type : kIntegers)
      if (type.bits == whole->bit_width() && type.is_signed == whole->is_signed()) return {type.format};
    return {};
  }
  if (const auto* const real = field.type_as_FloatingPoint(); real != nullptr) {
    const auto precision = static_cast<size_t>(real->precision());
    return precision < kReals.size() ? std::string(1, kReals[precision]) : std::string();
  }
  if (const auto* const date = field.type_as_Date(); date != nullptr) {
    if (date->unit() == ipc::DateUnit::DAY) return "tdD";
    return date->unit() == ipc::DateUnit::MILLISECOND ? "tdm" : "";
  }
  if (const auto* const timestamp = field.type_as_Timestamp(); timestamp != nullptr) {
    const auto unit = static_cast<size_t>(timestamp->unit());
    if (unit >= kTimeUnits.size()) return {};
    return StrCat(kTimestamp, std::string(1, kTimeUnits[unit]), ":",
                  timestamp->timezone() == nullptr ? "" : timestamp->timezone()->c_str());
  }
  if (const auto* const fixed = field.type_as_FixedSizeBinary(); fixed != nullptr)
    return StrCat(kFixedBinary, fixed->byte_width());
  switch (field.type_type()) {
    case ipc::Type::Bool: return "b";
    case ipc::Type::Utf8: return "u";
    case ipc::Type::Binary: return "z";
    case ipc::Type::LargeUtf8: return "U";
    case ipc::Type::LargeBinary: return "Z";
    case ipc::Type::List: return "+l";
    case ipc::Type::LargeList: return "+L";
    case ipc::Type::Struct_: return "+s";
    default: return {};
  }
}

}  // namespace

Result<ColumnLayout> LayoutOf(std::string_view format) {
  if (format.size() == 1)
    if (const auto layout = OfOneLetter(format[0])) return *layout;
  if (format == "tdD") return ColumnLayout{Kind::kFixed, 4};
  if (format == "tdm" || IsTimestamp(format)) return ColumnLayout{Kind::kFixed, 8};
  if (const auto bytes = FixedBinaryBytes(format)) return ColumnLayout{Kind::kFixed, static_cast<size_t>(*bytes)};
  if (format == "+l") return ColumnLayout{Kind::kList, 4};
  if (format == "+L") return ColumnLayout{Kind::kList, 8};
  if (format == "+s") return ColumnLayout{Kind::kStruct, 0};
  return Fail(ErrorCode::kInvalid, StrCat("columns of Arrow's format \"", format, "\" cannot be stored"));
}

flatbuffers::Offset<ipc::Field> BuildField(flatbuffers::FlatBufferBuilder& builder, const ColumnType& column) {
  std::vector<flatbuffers::Offset<ipc::Field>> children;
  for (const ColumnType& child : column.children) children.push_back(BuildField(builder, child));
  const auto name = builder.CreateString(column.name);
  const BuiltType type = BuildType(builder, column.format);
  const auto list = builder.CreateVector(children);
  return ipc::CreateField(builder, name, column.nullable, type.type, type.offset, 0, list);
}

Result<ColumnType> ReadField(const ipc::Field& field, int depth, size_t& columns) {
  ColumnType column;
  if (field.name() != nullptr) column.name = field.name()->str();
  const auto refused = [&column](const auto&... why) {
    return Fail(ErrorCode::kProtocolError, StrCat("column '", column.name, "' ", why...));
  };
  if (++columns > kColumnsMax) return refused("is one too many: a batch has at most ", kColumnsMax);
  if (depth > kColumnDepthMax) return refused("lies within more than ", kColumnDepthMax, " lists and structs");
  if (field.dictionary() != nullptr) return refused("is encoded by a dictionary, and such columns cannot be stored");
  column.nullable = field.nullable();
  column.format = FormatOf(field);
  const auto layout = LayoutOf(column.format);
  if (!layout) return refused("is of Arrow's type ", static_cast<int>(field.type_type()), ", which cannot be stored");
  column.layout = *layout;
  const size_t children = field.children() == nullptr ? 0 : field.children()->size();
  const bool fits = layout->kind == Kind::kStruct || children == (layout->kind == Kind::kList ? 1 : 0);
  if (!fits) return refused("has ", children, " children");
  for (uint32_t i = 0; i < children; ++i) {
    auto child = ReadField(*field.children()->Get(i), depth + 1, columns);
    if (!child) return child;
    column.children.push_back(*std::move(child));
  }
  return column;
}

}  // namespace ray::internal
