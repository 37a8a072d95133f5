from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0005_subject'),
    ]

    operations = [
        migrations.AddField(
            model_name='readmark',
            name='seen_through',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
    ]
