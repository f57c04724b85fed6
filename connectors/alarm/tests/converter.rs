//! The schemas as the Avro converter sees them.

use connect_converters::connect_schema_from_avro;
use connector_alarm::schemas;

#[test]
fn the_schemas_are_those_of_the_avro_files() {
    for (file, schema) in [
        (include_str!("../../../schemas/active-alarms-value.avsc"), schemas::active_alarm()),
        (include_str!("../../../schemas/alarms-value.avsc"), schemas::registered_alarm()),
        (include_str!("../../../schemas/shelved-alarms-value.avsc"), schemas::shelved_alarm()),
    ] {
        let converted = connect_schema_from_avro(file).expect("an avro schema");
        // Field by field first, for the sake of the message.
        for (theirs, ours) in converted.fields().iter().zip(schema.fields()) {
            let show = |f: &connect_api::Field| {
                let s = f.schema();
                let parameters = s.parameters().map(<[_]>::to_vec);
                (f.name().to_owned(), s.kind(), s.is_optional(), parameters, s.default().cloned(), s.version())
            };
            assert_eq!(show(ours), show(theirs));
        }
        assert_eq!(schema.parameters(), converted.parameters());
        assert_eq!(*schema, converted);
    }
}
