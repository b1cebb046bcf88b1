// The parts of <ray/api/serializer.h> that need no type: messages, and checks of raw elements.
#include <ray/api/serializer.h>

#include "base/strings.h"
#include "client/ray/api/user_exception.h"

namespace ray::internal {

using raylet::StrCat;

const char* DtypeName(Dtype dtype) {
  switch (dtype) {
    case Dtype::kNone: break;
    case Dtype::kBool: return "bool";
    case Dtype::kInt8: return "int8";
    case Dtype::kInt16: return "int16";
    case Dtype::kInt32: return "int32";
    case Dtype::kInt64: return "int64";
    case Dtype::kUint8: return "uint8";
    case Dtype::kUint16: return "uint16";
    case Dtype::kUint32: return "uint32";
    case Dtype::kUint64: return "uint64";
    case Dtype::kFloat32: return "float32";
    case Dtype::kFloat64: return "float64";
  }
  return "an unknown type";
}

void ThrowCannotRead(const std::type_info& type, size_t bytes, const char* reason) {
  throw RayException(StrCat("cannot read a value of type ", Demangle(type.name()), " from ", bytes, " bytes: ", reason),
                     {.cause = reason, .hint = "read it as the type that it was written as"});
}

void ThrowCannotWrite(const std::type_info& type, const char* reason) {
  throw RayException(StrCat("cannot write a value of type ", Demangle(type.name()), ": ", reason));
}

std::string_view ElementsOf(std::string_view bytes, const std::type_info& type, Dtype dtype, size_t element_bytes) {
  if (bytes.size() < kElementsHeaderBytes || bytes[0] != kFormatElements)
    ThrowCannotRead(type, bytes.size(), StrCat("they are no elements of ", DtypeName(dtype)).c_str());
  const auto written = static_cast<Dtype>(bytes[1]);
  if (written != dtype)
    ThrowCannotRead(
        type, bytes.size(),
        StrCat("they hold elements of ", DtypeName(written), ", and ", DtypeName(dtype), " is wanted").c_str());
  const std::string_view elements = bytes.substr(kElementsHeaderBytes);
  if (elements.size() % element_bytes != 0) ThrowCannotRead(type, bytes.size(), "the last element is cut off");
  return elements;
}

}  // namespace ray::internal
